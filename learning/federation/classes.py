"""Takes out of a node's loss how often it has each class, so that nodes with other classes want the same network.

Where only these frequencies differ between nodes, one network is the minimum of all their losses if each adds the
logarithm of its own frequencies over everyone's to the outputs while it learns: logit adjustment (Menon et al. 2021;
between the nodes of a federation Zhang et al. 2022). Without it each draws towards the classes that it has. Where nodes
have other classes because their sensors read otherwise, it is wrong: then the sensors tell, and nothing is to be added.

Shapes: O classes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.samples import Samples

PRIOR_ROWS = 1.0
"""So many rows with everyone's frequencies are added to a node's own: a class that it lacks is rare there."""


def offsets_of(samples: Samples, counts_O: NDArray[np.float64]) -> Tensor:
    """What is added to the outputs while the node learns; counts_O: the rows of each class at all nodes."""
    own_O = torch.bincount(samples.targets_B, minlength=len(counts_O)).double().numpy()
    among_all_O = np.maximum(counts_O, 1) / np.maximum(counts_O, 1).sum()
    own_share_O = (own_O + PRIOR_ROWS * among_all_O) / (own_O.sum() + PRIOR_ROWS)
    return torch.from_numpy(np.log(own_share_O / among_all_O)).float()
