"""Small real models for tests: random weights, a real WordPiece tokenizer, a real folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = "file list open close sort read write path string number error parse token value".split()  # noqa: SIM905


def tiny_cross_encoder(folder: Path, seed: int = 0, **sizes: int) -> Path:
    """A BERT of 2 layers and 32 dimensions (or of other `sizes`) with one label, saved as `folder`. Every
    ASCII word has wordpieces of its own letters, so that no text is all `[UNK]`."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    wrapped, vocabulary = _tokenizer()
    torch.manual_seed(seed)
    config = BertConfig(
        **{
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            "num_labels": 1,
            "initializer_range": 0.2,
            **sizes,
        }
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def tiny_seq2seq(folder: Path, seed: int = 0) -> Path:
    """A T5 of 2 layers and 32 dimensions that writes words at random, saved as `folder`."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    wrapped, vocabulary = _tokenizer()
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=wrapped.pad_token_id,
        eos_token_id=wrapped.sep_token_id,
        decoder_start_token_id=wrapped.pad_token_id,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def wordpieces(*special: str) -> dict[str, int]:
    """A WordPiece vocabulary with the `special` pieces first. It is written and not trained: a trainer orders
    pieces of equal count by a hash of the process, so that every run of a test would have another base."""
    pieces = [*special, *".,:;()_-=", *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def _tokenizer() -> tuple[Any, int]:
    """A real WordPiece tokenizer, and how many pieces it has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = wordpieces("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )
    return wrapped, len(vocabulary)
