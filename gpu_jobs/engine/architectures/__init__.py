"""The torch side of `methods/architectures`: transformers' classes of each, known to its Auto classes on demand.

    from gpu_jobs.engine.architectures import load
    model = load("out/model")

No code is read from a model's folder: config.json names an architecture, and the classes are those of this package.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gpu_jobs import registry
from gpu_jobs.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

AUTO = {
    "model": "AutoModel",
    "causal_lm": "AutoModelForCausalLM",
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}


@functools.cache
def register() -> None:
    """Makes transformers' Auto classes know every architecture; from then on they load its folders like any other."""
    import transformers

    for method in registry.methods("architectures").values():
        classes = method.module.classes()
        transformers.AutoConfig.register(method.name, classes["config"])
        for role, auto in AUTO.items():
            if role in classes:
                getattr(transformers, auto).register(classes["config"], classes[role])


def load(folder: str | Path) -> PreTrainedModel:
    """The model of a run's `model/` folder, with the head it was saved with, in evaluation mode.

    Any folder of save_pretrained will do. Raises ModelError when it holds no whole model (an adapter, for example).
    """
    register()
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json: name a folder that save_pretrained has written")
    (name,) = json.loads(path.read_text())["architectures"]
    model: Any = class_of(name).from_pretrained(str(folder), trust_remote_code=False, use_safetensors=True)
    return cast("PreTrainedModel", model.eval())


def class_of(name: str) -> Any:
    """A model's class by the name that config.json gives it, transformers' or our own."""
    import transformers

    return getattr(transformers, name, None) or _classes()[name]


def _classes() -> dict[str, type]:
    every = [method.module.classes() for method in registry.methods("architectures").values()]
    return {found.__name__: found for classes in every for found in classes.values()}
