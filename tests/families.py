"""A tiny random base of every family that crosstune takes, each with a tokenizer of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import LETTERS, WORDS, wordpieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

POSITIONS = 64
SIZES: dict[str, dict[str, Any]] = {
    "bert": {"type_vocab_size": 2},
    "minilm": {"type_vocab_size": 2, "num_hidden_layers": 3},
    "electra": {"type_vocab_size": 2, "embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "roberta": {"type_vocab_size": 1, "max_position_embeddings": POSITIONS + 2},
    "xlm-roberta": {"type_vocab_size": 1, "max_position_embeddings": POSITIONS + 2},
    "modernbert": {"local_attention": 16, "global_attn_every_n_layers": 2, "num_hidden_layers": 4},
    "deberta-v2": {
        "type_vocab_size": 0,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
}
FAMILIES = tuple(SIZES)
WORDPIECE = ("bert", "minilm", "electra", "distilbert")
BERT_NAMES = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}
IDENTITY = "torch.nn.modules.linear.Identity"
THETAS = {"full_attention": 7000.0, "sliding_attention": 300.0}
ROBERTA_NAMES = {"cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}


def tiny_base(folder: Path, family: str) -> Path:
    """A base without a ranking head, of 32 dimensions, saved as `folder`."""
    import torch
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    names = ROBERTA_NAMES if "roberta" in family else BERT_NAMES
    tokenizer = _tokenizer(family, names)
    ids = {f"{role}_token_id": tokenizer.token_to_id(token) for role, token in names.items()}
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.2,
        "vocab_size": tokenizer.get_vocab_size(),
        "pad_token_id": ids["pad_token_id"],
        "bos_token_id": ids["cls_token_id"],
        "eos_token_id": ids["sep_token_id"],
        "cls_token_id": ids["cls_token_id"],
        "sep_token_id": ids["sep_token_id"],
    }
    kind = "bert" if family == "minilm" else family
    torch.manual_seed(2)
    AutoModel.from_config(AutoConfig.for_model(kind, **{**sizes, **SIZES[family]})).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "attention_mask"]
        + (["token_type_ids"] if family in ("bert", "minilm", "electra") else []),
        **{f"{role}_token": token for role, token in names.items()},
    ).save_pretrained(folder)
    return folder


def tiny_classifier(folder: Path, family: str) -> Path:
    """`tiny_base` with a head of one label, and keys in its `config.json` that another's training may leave:
    raw logits asked for in two ways, and in a ModernBERT thetas that are not the family's own."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    tiny_base(folder, family)
    config = AutoConfig.from_pretrained(folder, num_labels=1)
    if family == "modernbert":
        for kind, theta in THETAS.items():
            config.rope_parameters[kind]["rope_theta"] = theta
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(folder, config=config)
    for name, weight in model.named_parameters():
        if weight.shape[0] == 1:  # a fresh head is near zero: all scores would be
            torch.nn.init.normal_(weight, std=0.5)
        assert weight.isfinite().all(), name
    model.config.sbert_ce_default_activation_function = IDENTITY
    model.config.problem_type = "regression"
    model.save_pretrained(folder)
    return folder


def _tokenizer(family: str, names: dict[str, str]) -> Tokenizer:
    """WordPiece for BERT's kin, byte-level BPE for RoBERTa and ModernBERT, SentencePiece's Unigram for XLM-R
    and DeBERTa, with the pair layout that each was published with."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = list(names.values())
    if family in WORDPIECE:
        tokenizer = Tokenizer(models.WordPiece(wordpieces(*special), unk_token=names["unk"]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif family in ("roberta", "modernbert"):
        tokenizer = Tokenizer(models.BPE(unk_token=names["unk"]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
        tokenizer.train_from_iterator([" ".join(WORDS), " ".join(LETTERS), "".join(WORDS)], trainer)
    else:
        scored = [*((token, 0.0) for token in special), *((f"▁{word}", -3.0) for word in WORDS)]
        scored += [(piece, -6.0) for piece in ("▁", *LETTERS)]
        tokenizer = Tokenizer(models.Unigram(scored, unk_id=special.index(names["unk"]), byte_fallback=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    cls, sep = names["cls"], names["sep"]
    pair = f"{cls} $A {sep} {sep} $B {sep}" if "roberta" in family else f"{cls} $A {sep} $B:1 {sep}:1"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=pair,
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return tokenizer
