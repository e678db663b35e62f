"""Feature fusion of CNN backbones with classical classifier heads, and honest figures.

The rooms, in the order in which data flow through them:

- ``fusionfer.images``: labelled faces from folders, zips and tables; generated faces
- ``fusionfer.faces``: faces found in photographs, cut out, and brought to one light
- ``fusionfer.backbones``: which networks there are, their preprocessing, weights and levels
- ``fusionfer.networks``: builds them (torch)
- ``fusionfer.extraction``: one pass over the images feeds every backbone (torch)
- ``fusionfer.cache``: activations in HDF5, with proof of what they came from
- ``fusionfer.fusion``: align by sample id, concatenate, scale blocks
- ``fusionfer.matrices``: matrices that stay in their files
- ``fusionfer.memory``, ``fusionfer.costs``: what memory may be used, and what a verb will take
- ``fusionfer.features``: arrays with ids, labels, splits, groups, named blocks and provenance
- ``fusionfer.heads``: classical classifiers in scikit-learn's grammar
- ``fusionfer.cluster``: the workers of a Dask cluster, each with its rows
- ``fusionfer.selection``: keeps the hybrid only if it beats both single backbones
- ``fusionfer.fitting``, ``fusionfer.evaluation``, ``fusionfer.prediction``: one call per verb
- ``fusionfer.export``: a model as one ONNX file
- ``fusionfer.live``: expressions from a camera, a video or a folder of frames
- ``fusionfer.training``: networks trained end to end, by recipes (torch, Lightning)
- ``fusionfer.audit``, ``fusionfer.eda``: what is wrong with a data set, and what it looks like
- ``fusionfer.occlusion``, ``fusionfer.explanation``: which part of a face carries a probability
- ``fusionfer.protocols``: how papers scored, and how it is done honestly, run side by side
- ``fusionfer.statistics``, ``fusionfer.claims``: tests and intervals; whether published tables add up
- ``fusionfer.ensembles``: several classifiers as one
- ``fusionfer.metrics``, ``fusionfer.report``: figures from one confusion matrix, and how to show them
- ``fusionfer.persistence``: models on disk, never a bare pickle
- ``fusionfer.inspection``, ``fusionfer.maintenance``: what files hold, whether it is intact; care of caches
- ``fusionfer.reporting``: one page of a run
- ``fusionfer.demo``: the whole main job on generated faces
- ``fusionfer.exceptions``: every error that is raised on purpose

Importing ``fusionfer`` does nothing: no torch, no network, no folder made.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
