"""What the other tests stand on: the tiny encoder, and that nothing leaves this machine."""

import socket
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer


def test_tiny_bert_reads_text(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokens = tokenizer(["A really dull film!", "zebra 7"], padding=True, return_tensors="pt")
    assert tokenizer.is_fast and tokenizer.unk_token_id not in tokens["input_ids"]
    assert tokenizer.tokenize("a really dull film!") == ["a", "really", "dull", "film", "!"]
    assert tokenizer.decode(tokens["input_ids"][0], skip_special_tokens=True) == "a really dull film!"
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tiny_bert).eval()(**tokens).last_hidden_state
    assert hidden.shape[-1] == 32 and not torch.equal(hidden[0, 0], hidden[1, 0])


def test_no_test_reaches_the_network() -> None:
    with pytest.raises(OSError, match=r"asked for the network host 'example\.org'"):
        socket.create_connection(("example.org", 80), timeout=5)
    assert socket.getaddrinfo("localhost", 80)
