"""Blocks of models with joint attention, written out in 64 bits, to compare streams of concepts with."""

from helpers.joint_blocks.reference import BlocksWithin, concept_attention, text_alone

__all__ = ["BlocksWithin", "concept_attention", "text_alone"]
