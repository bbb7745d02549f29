"""BERT checkpoints in Google's TensorFlow layout, read without TensorFlow."""

from crosstune.tf_bert.convert import find_checkpoint, hugging_face_folder

__all__ = ["find_checkpoint", "hugging_face_folder"]
