"""Our tokenizers against Hugging Face's own reading of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_jobs.engine.data import tokenizers
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError

BYTE = tokenizers.byte()
TEXTS = [topics[name] for name in sorted(topics)][:20]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_quick_way_for_bytes_is_what_the_tokenizer_says(text: str) -> None:
    quick = Encoder(BYTE, own=True).plain([text])[0].tolist()
    assert quick == list(text.encode()) == BYTE(text, split_special_tokens=True)["input_ids"]
    assert BYTE.decode(quick) == text


def test_bpe_is_the_same_every_time_and_as_large_as_asked() -> None:
    first, second = (tokenizers.train_bpe(TEXTS, 700) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    assert len(first) == 700 and (first.eos_token_id, first.pad_token_id) == (698, 699)


def test_bpe_of_a_short_text_has_fewer_tokens() -> None:
    assert 258 < len(tokenizers.train_bpe(["to be or not to be"], 4096)) < 300


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bpe_gives_back_any_text(text: str) -> None:
    assert BPE.decode(Encoder(BPE, own=True).plain([text])[0]) == text


BPE = tokenizers.train_bpe(TEXTS, 400)


def test_a_vocabulary_without_room_for_all_bytes_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least 258.*it is 257"):
        tokenizers.train_bpe(TEXTS, 257)


def test_a_plain_script_reads_them_with_auto_tokenizer(tmp_path: Path) -> None:
    script = (
        "import sys; from transformers import AutoTokenizer\nfor folder in sys.argv[1:]:\n"
        "  t = AutoTokenizer.from_pretrained(folder); ids = t('Grüße, welt')['input_ids']\n"
        "  print(ids, t.eos_token_id, t.pad_token_id, len(t), t.decode(ids))"
    )
    expected, folders = [], []
    for name, tokenizer in (("byte", BYTE), ("bpe", BPE)):
        tokenizer.save_pretrained(tmp_path / name)
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')  # beside a model, as after a run
        folders.append(str(tmp_path / name))
        size = len(tokenizer)
        expected.append(f"{tokenizer('Grüße, welt')['input_ids']} {size - 2} {size - 1} {size} Grüße, welt")
    command = [sys.executable, "-c", script, *folders]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.splitlines() == expected


def test_classified_texts_are_marked_at_both_ends() -> None:
    encoder = Encoder(BYTE, own=True)
    assert encoder.marked(["ab"])[0].tolist() == [256, 97, 98, 256] and encoder.ends_with_mark()


def test_identity_changes_with_what_changes_tokens() -> None:
    names = [{"name": "byte"}, {"name": "bpe", "vocab": 400}, {"name": "bpe", "vocab": 401}, BPE, BYTE]
    seen = [str(tokenizers.identity(tokenizer)) for tokenizer in names]
    assert len(set(seen)) == len(seen) and seen[-2] == str(tokenizers.identity(tokenizers.train_bpe(TEXTS, 400)))


def test_small_vocabularies_take_two_bytes_a_token() -> None:
    assert Encoder(BYTE, own=True).dtype == np.uint16
