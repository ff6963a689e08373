"""A candidate between learning and export: a checkpoint and its memory."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from data.files import write_whole
from deployments.line import Line
from learning.candidate import Candidate
from learning.checkpoint import load_checkpoint, save_checkpoint
from learning.memory import Memory
