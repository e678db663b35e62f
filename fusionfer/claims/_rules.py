"""What follows from the stated figures of one set of predictions: each rule of arithmetic, one function."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from fusionfer.claims._confusing import any_average, averages, f1_of_averages, total
from fusionfer.claims._facts import Derived, Facts
from fusionfer.claims._intervals import Interval, harmonic, mean, whole_shares
from fusionfer.claims._matrix_rules import follow_matrix
from fusionfer.claims._stating import AVERAGES, Figure, Statement, System

__all__ = ["derive"]

_SHARES = ("precision", "recall", "specificity", "f1", "jaccard", "auc", "accuracy")


def derive(system: System) -> Iterator[Derived]:
    """Yield all that follows from what is stated of one set of predictions."""
    facts = Facts(system)
    for rule in (_ranges, _f1, _jaccard, _accuracy, _mean_accuracy, _micro, _balanced, _average, _unnamed, _sums, _auc):
        yield from rule(facts)
    if system.runs == 1:  # these multiply figures, which means over runs do not allow
        for rule in (_whole_samples, _predictions, _one_against_the_rest):
            yield from rule(facts)
        for matrix in system.confusions:
            yield from follow_matrix(facts, matrix)


def _everything(facts: Facts) -> list[tuple[str, bool]]:
    """Averages and classes, those of incomplete lists too."""
    classes = dict.fromkeys((*facts.system.classes, *(one.of for one in facts.stated if one.is_class)))
    return [*((one, False) for one in AVERAGES), *((one, True) for one in classes)]


def _ranges(facts: Facts) -> Iterator[Derived]:
    for figure, stated in facts.stated.items():
        if figure.name not in ("support", "n"):
            for one in stated:
                if one.value is not None and not one.value.meet(Interval(Fraction(0), Fraction(1))):
                    yield Derived(figure, (Interval(Fraction(0), Fraction(1)),), (), "it is a share", one)


def _f1(facts: Facts) -> Iterator[Derived]:
    for of, is_class in _everything(facts):
        parts = (Figure("precision", of, is_class), Figure("recall", of, is_class))
        known = facts.defined(*parts)
        if known:
            precision, recall = known
            follows, because = harmonic(precision, recall), "F1 = 2PR / (P + R)"
            if facts.system.runs > 1 or not (is_class or of == "micro"):
                # The mean of a concave function is at most that of the means (Jensen), and F1 >= P + R - 1.
                follows = Interval(max(Fraction(0), precision.low + recall.low - 1), follows.high)
                because = "an average of F1 is at most 2PR / (P + R) of the averages, and at least P + R - 1"
            yield Derived(Figure("f1", of, is_class), (follows,), facts.labels(*parts), because)


def _jaccard(facts: Facts) -> Iterator[Derived]:
    for of, is_class in _everything(facts):
        known = facts.defined(Figure("f1", of, is_class))
        if known:
            low, high = (end / (2 - end) for end in known[0])
            because = "Jaccard = F1 / (2 - F1)"
            if facts.system.runs > 1 or not (is_class or of == "micro"):
                high, because = known[0].high, "an average of Jaccard is at least F1 / (2 - F1), and at most F1"
            labels = facts.labels(Figure("f1", of, is_class))
            yield Derived(Figure("jaccard", of, is_class), (Interval(low, high),), labels, because)


def _accuracy(facts: Facts) -> Iterator[Derived]:
    weighted = facts.defined(Figure("recall", "weighted"))
    if weighted:
        labels = facts.labels(Figure("recall", "weighted"))
        yield Derived(Figure("accuracy"), tuple(weighted), labels, "the weighted recall is the accuracy")
    recalls, supports = facts.value(*facts.of_classes("recall")), facts.supports()
    if recalls and supports and sum(supports):
        because = "the recalls of the classes, weighted by their samples, are the accuracy"
        labels = ("recall and support of the classes",)
        yield Derived(Figure("accuracy"), averages(recalls, supports), labels, because)


def _mean_accuracy(facts: Facts) -> Iterator[Derived]:
    """Each error is one of two classes against the rest: of the one that it is, and of the one that is predicted."""
    accuracy, K = facts.defined(Figure("accuracy")), len(facts.system.classes)
    if accuracy and K:
        low, high = (1 - 2 * (1 - end) / K for end in accuracy[0])
        labels = facts.labels(Figure("accuracy"))
        because = f"the mean accuracy of {K} classes, each against the rest, is 1 - 2 (1 - accuracy) / {K}"
        yield Derived(Figure("accuracy", "macro"), (Interval(low, high),), labels, because)


def _micro(facts: Facts) -> Iterator[Derived]:
    accuracy = facts.defined(Figure("accuracy"))
    if accuracy:
        for name in ("precision", "recall", "f1"):
            labels = facts.labels(Figure("accuracy"))
            yield Derived(Figure(name, "micro"), tuple(accuracy), labels, "the micro average is the accuracy")


def _balanced(facts: Facts) -> Iterator[Derived]:
    macro, classes = Figure("recall", "macro"), facts.of_classes("recall")
    stated, recalls = facts.defined(macro), facts.value(*classes)
    because = "the balanced accuracy is the mean recall of the classes"
    if stated and facts.whole():
        yield Derived(Figure("balanced_accuracy"), tuple(stated), facts.labels(macro), because)
    if recalls and averages(recalls):
        yield Derived(Figure("balanced_accuracy"), averages(recalls), ("recall of the classes",), because)


def _average(facts: Facts) -> Iterator[Derived]:
    supports = facts.supports()
    for name in _SHARES:
        values = facts.value(*facts.of_classes(name))
        if not values:
            continue
        for of, weights in (("macro", None), ("weighted", supports)):
            found = averages(values, weights)
            if not found or (of == "weighted" and weights is None):
                continue
            because = f"it is the {'' if of == 'macro' else 'weighted '}mean over the classes"
            labels = (f"{Figure(name).label} of the classes",)
            parts = [facts.value(*facts.of_classes(part)) for part in ("precision", "recall")]
            if name == "f1" and parts[0] and parts[1]:
                found += f1_of_averages(parts[0], parts[1], weights)
                because += ", or the F1 of the mean precision and recall"
            yield Derived(Figure(name, of), found, labels, because)


def _unnamed(facts: Facts) -> Iterator[Derived]:
    """Averages of which the paper does not say how they were made: plain, weighted, over all samples, or one class."""
    parts = {name: facts.value(*facts.of_classes(name)) for name in ("precision", "recall")}
    for name in ("precision", "recall", "specificity", "jaccard", "f1"):
        values = facts.value(*facts.of_classes(name))
        if not values or (name == "f1" and not all(parts.values())):
            continue
        found = [any_average(values)]
        if name == "f1":
            best = (max(one.high for one in values or [] if one is not None) for values in parts.values())
            found = [found[0].hull(harmonic(*(Interval.point(one) for one in best)))]
        supports = facts.supports()
        if name == "recall" and supports and sum(supports) and len(values) > 2:
            found = [*averages(values), *averages(values, supports)]  # over all samples it is the weighted mean
        because = "no mean over the classes is another"
        yield Derived(Figure(name), tuple(found), (f"{name} of the classes",), because)


def _sums(facts: Facts) -> Iterator[Derived]:
    stated = facts.defined(*facts.of_classes("support"))
    if stated:
        yield Derived(Figure("n"), (total(stated),), ("support of the classes",), "the supports add up to the samples")


def _auc(facts: Facts) -> Iterator[Derived]:
    if not facts.system.hard_labels:
        return
    for of, is_class in _everything(facts):
        parts = (Figure("recall", of, is_class), Figure("specificity", of, is_class))
        known = facts.defined(*parts)
        if known and of != "micro" and (is_class or facts.whole()):
            because = "from labels the AUC is the mean of sensitivity and specificity"
            yield Derived(Figure("auc", of, is_class), (mean(known),), facts.labels(*parts), because)


def _whole_samples(facts: Facts) -> Iterator[Derived]:
    """The GRIM test (Brown and Heathers 2017): a share of n samples is a whole number of them over n."""
    n = facts.n()
    supports = facts.supports() or [0] * len(facts.system.classes)
    sizes = zip(facts.of_classes("recall"), supports, strict=True)
    for figure, size in ((Figure("accuracy"), n or 0), *sizes):
        known = facts.defined(figure)
        if known and size:
            values = tuple(whole_shares(known[0], size))
            yield Derived(figure, values, (f"{size:,} samples",), f"a whole number of {size:,} samples is right")


def _predictions(facts: Facts) -> Iterator[Derived]:
    """Each sample is predicted as one class, so that true positives over precision add up to the samples."""
    recalls, supports = facts.defined(*facts.of_classes("recall")), facts.supports()
    precisions = facts.defined(*facts.of_classes("precision"))
    if recalls and supports and precisions and all(one.low > 0 for one in precisions):
        predicted = total(
            Interval(recall.low * s / precision.high, recall.high * s / precision.low)
            for recall, s, precision in zip(recalls, supports, precisions, strict=True)
        )
        n = sum(supports)
        claim = Statement(Figure("n"), "predictions", f"for {n:,} samples", Interval.point(n), "the class report")
        labels = ("precision, recall and support of the classes",)
        yield Derived(Figure("n"), (predicted,), labels, "recall x support / precision adds up to the samples", claim)


def _one_against_the_rest(facts: Facts) -> Iterator[Derived]:
    supports = facts.supports()
    if not supports:
        return
    n = sum(supports)
    for one, s in zip(facts.system.classes, supports, strict=True):
        precision, recall, specificity = (Figure(name, one, True) for name in ("precision", "recall", "specificity"))
        known = facts.defined(recall, precision)
        if known and known[1].low > 0 and n > s:
            r, p = known
            wrong = [r.high * s * (1 / p.low - 1) / (n - s), r.low * s * (1 / p.high - 1) / (n - s)]
            follows = Interval(*(1 - share for share in wrong)).within(0, 1)
            because = "false positives = recall x support x (1 / precision - 1)"
            yield Derived(specificity, (follows,), facts.labels(recall, precision), because)
        known = facts.defined(recall, specificity)
        if known:
            labels = facts.labels(recall, specificity)
            because = "of a class against the rest it is the mean of both, weighted by samples"
            yield Derived(Figure("accuracy", one, True), (mean(known, [s, n - s]),), labels, because)
