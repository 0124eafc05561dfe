# SPDX-License-Identifier: GPL-2.0-only
"""Replays a placed trace through an image: batches, oracle, judgement, and counting by shape.

Imports guest, traces and zsmalloc.
"""
