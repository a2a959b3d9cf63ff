"""Whether a model keeps documents of one row apart, tried out on the model itself."""

from __future__ import annotations

from typing import Any

LENGTH = 8  # tokens of each of two documents


def sees_others(model: Any) -> bool:
    """Whether what it says of a document in an `IsolatedSplit` row hangs on the document before it.

    So it is for architectures that make no mask of the positions, and wherever a cache is in use. Runs two forwards.
    """
    import torch

    table = model.get_input_embeddings()
    rows, device = table.num_embeddings, next(model.parameters()).device
    one = torch.arange(2 * LENGTH, device=device)[None] % rows
    other = one.clone()
    other[:, :LENGTH] = (one[:, :LENGTH] + 1) % rows
    positions = torch.arange(LENGTH, device=device).repeat(2)[None]
    was_training = model.training
    model.eval()
    with torch.no_grad():
        said = [model(input_ids=ids, position_ids=positions).logits[:, LENGTH:] for ids in (one, other)]
    model.train(was_training)
    return not said[0].equal(said[1])
