"""A graph of ONNX operators, written as one writes NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper

from fusionfer import __version__

__all__ = ["ML_OPSET", "OPSET", "Graph", "Value"]

#: Versions of ONNX's operators, and of those for classical learners. Old enough for every ONNX Runtime since 1.12.
OPSET, ML_OPSET = 17, 3
_IR_VERSION = 8  # the form of files that belongs to them

_ML = "ai.onnx.ml"
_COMPARING = {"Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal", "Not", "And", "Or", "IsNaN"}


class Value:
    """What a node returns: its name and dtype, with the operators of NumPy.

    Numbers and arrays that meet a value become constants of its dtype.
    """

    def __init__(self, graph: Graph, name: str, dtype: Any) -> None:
        self.graph = graph
        self.name = name
        self.dtype = np.dtype(dtype)

    def __add__(self, other: Any) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.graph.op("Sub", self.graph.constant(other, self.dtype), self)

    def __mul__(self, other: Any) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Any) -> Value:
        return self.graph.op("MatMul", self, other)

    def __neg__(self) -> Value:
        return self.graph.op("Neg", self)

    def __gt__(self, other: Any) -> Value:
        return self.graph.op("Greater", self, other)

    def __lt__(self, other: Any) -> Value:
        return self.graph.op("Less", self, other)

    def __and__(self, other: Value) -> Value:
        return self.graph.op("And", self, other)

    def cast(self, dtype: Any) -> Value:
        """Return the same numbers in another dtype."""
        if np.dtype(dtype) == self.dtype:
            return self
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.graph.op("Cast", self, dtype=dtype, to=to)

    def sum(self, *axes: int, keepdims: bool = False) -> Value:
        """Return the sum over axes."""
        return self.graph.op("ReduceSum", self, np.array(axes, np.int64), keepdims=int(keepdims))

    def max(self, axis: int, *, keepdims: bool = False) -> Value:
        """Return the largest along an axis."""
        return self.graph.op("ReduceMax", self, axes=[axis], keepdims=int(keepdims))

    def argmax(self, axis: int) -> Value:
        """Return where the largest stands along an axis, of equals the first."""
        return self.graph.op("ArgMax", self, dtype=np.int64, axis=axis, keepdims=0)

    def reshape(self, *shape: int) -> Value:
        """Return the same numbers in another shape; -1 and 0 as in ONNX's Reshape."""
        return self.graph.op("Reshape", self, np.array(shape, np.int64))

    def insert_axis(self, axis: int) -> Value:
        """Return the same numbers with an axis of length 1 more."""
        return self.graph.op("Unsqueeze", self, np.array([axis], np.int64))

    def take(self, index: Any, axis: int) -> Value:
        """Return some of an axis by their positions; one position takes the axis away."""
        return self.graph.op("Gather", self, np.asarray(index, np.int64), axis=axis)


class Graph:
    """Nodes and constants that grow into a model.

    Parameters
    ----------
    outer : Graph, optional
        Of a loop's body: the graph that the loop stands in, which keeps the constants.
    """

    def __init__(self, outer: Graph | None = None) -> None:
        self._root: Graph = self if outer is None else outer._root
        self._count = 0
        self._nodes: list[NodeProto] = []
        self._constants: dict[bytes, TensorProto] = {}
        self._inputs: list[Any] = []

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Value:
        """Return an input; names in the place of numbers are lengths that may vary."""
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, element, list(shape)))
        return Value(self, name, dtype)

    def constant(self, values: Any, dtype: Any = None) -> Value:
        """Return a constant; one that is there already is used again."""
        root = self._root
        array = np.asarray(values, dtype=dtype)
        array = array.astype(object) if array.dtype.kind == "U" else np.ascontiguousarray(array).reshape(array.shape)
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        key = f"{array.dtype} {array.shape} ".encode() + content
        if key not in root._constants:
            root._constants[key] = numpy_helper.from_array(array, root._new_name("constant"))
        return Value(self, root._constants[key].name, array.dtype)

    def op(self, kind: str, *inputs: Any, dtype: Any = None, domain: str = "", **attributes: Any) -> Value:
        """Add a node and return its output, whose dtype is that of the first input unless given."""
        first = inputs[0]
        values = [one if isinstance(one, Value) else self.constant(one, _dtype_of(one, first.dtype)) for one in inputs]
        name = self._root._new_name(kind)
        node = helper.make_node(kind, [value.name for value in values], [name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return Value(self, name, np.bool_ if kind in _COMPARING else dtype or first.dtype)

    def learner(self, kind: str, X: Value, *, dtype: Any = None, **attributes: Any) -> Value:
        """Add a node of ONNX's operators for classical learners."""
        return self.op(kind, X, dtype=dtype, domain=_ML, **attributes)

    def where(self, condition: Value, yes: Value, no: Any) -> Value:
        """Return `yes` where the condition holds, else `no`."""
        no = no if isinstance(no, Value) else self.constant(no, yes.dtype)
        return self.op("Where", condition, yes, no, dtype=yes.dtype)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Return values one after the other along an axis."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def sigmoid(self, x: Value) -> Value:
        """Return 1 / (1 + exp(-x))."""
        return self.op("Sigmoid", x)

    def softmax(self, x: Value) -> Value:
        """Return exponentials as shares of their sum, along the last axis."""
        return self.op("Softmax", x, axis=-1)

    def loop(
        self, most: int, begin: Value, states: Sequence[Value], body: Callable[..., tuple[Value, ...]]
    ) -> list[Value]:
        """Repeat `body` on `states`, at most so many times.

        Parameters
        ----------
        most : int
            Turns.
        begin : Value
            Whether to take the first turn (bool, without axes).
        states : sequence of Value
            At the beginning.
        body : callable
            ``body(graph, *states)`` returns whether to go on (a bool value without axes), and the next states.
        """
        inner = Graph(self)
        names = [self._root._new_name("state") for _ in states]
        turn, going = self._root._new_name("turn"), self._root._new_name("going")
        inputs = [
            helper.make_tensor_value_info(turn, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            *(_untyped(name, state.dtype) for name, state in zip(names, states, strict=True)),
        ]
        found = body(inner, *(Value(inner, name, state.dtype) for name, state in zip(names, states, strict=True)))
        outputs = [inner.op("Identity", value) for value in found]
        proto = helper.make_graph(
            inner._nodes, self._root._new_name("body"), inputs, [_untyped(value.name, value.dtype) for value in outputs]
        )
        results = [self._root._new_name("Loop") for _ in states]
        given = [self.constant(most, np.int64).name, begin.name, *(state.name for state in states)]
        self._nodes.append(helper.make_node("Loop", given, results, name=results[0], body=proto))
        return [Value(self, name, state.dtype) for name, state in zip(results, states, strict=True)]

    def embed(self, model: ModelProto, given: Value) -> list[Value]:
        """Take over the nodes of another model of one input; return its outputs in their order."""
        part: GraphProto = compose.add_prefix(model, f"{self._root._new_name('part')}/").graph
        if len(part.input) != 1:
            msg = f"A model of one input can be embedded, this has {len(part.input)}."
            raise ValueError(msg)
        self._nodes.append(helper.make_node("Identity", [given.name], [part.input[0].name]))
        self._nodes.extend(part.node)
        for tensor in part.initializer:
            self._root._constants[tensor.name.encode()] = tensor
        # Some converters leave the type of scores open, which are float32 then.
        kinds = [out.type.tensor_type.elem_type or TensorProto.FLOAT for out in part.output]
        return [
            Value(self, out.name, helper.tensor_dtype_to_np_dtype(kind))
            for out, kind in zip(part.output, kinds, strict=True)
        ]

    def model(self, outputs: Mapping[str, tuple[Value, Sequence[int | str]]], *, what: str) -> ModelProto:
        """Return the model of all nodes, with outputs by name, each with its shape."""
        shapes = []
        for name, (value, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name]))
            shapes.append(
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), list(shape))
            )
        graph = helper.make_graph(self._nodes, what, self._inputs, shapes, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, ML_OPSET)]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=_IR_VERSION,
            producer_name="fusionfer",
            producer_version=__version__,
        )

    def _new_name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def _dtype_of(given: Any, dtype: np.dtype) -> Any:
    """Numbers and float arrays take the dtype of what they meet; indices and shapes keep theirs."""
    return given.dtype if isinstance(given, np.ndarray) and given.dtype == np.int64 else dtype


def _untyped(name: str, dtype: np.dtype) -> Any:
    """An input or output of a loop's body, whose shape the loop tells."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
