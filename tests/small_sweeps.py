"""Small runs that several test files share, each trained in milliseconds once its program is compiled."""

from lanes import Blobs, Run
from nets import MLP

# Three overlapping classes: 86 training, 10 validation and 24 test examples, 5 steps of 16 in an epoch, easy to overfit.
OVERLAPPING = Blobs(n=120, classes=3, distance=1.5)
STEPS = 5

# A run that is right in every field, for tests that change one.
GOOD = Run(data=Blobs(n=120), net=MLP(widths=(4,)), batch_size=8, epochs=1)

# Its activation is part of the program, not an index in it.
OWN_ACTIVATION = Run(data=Blobs(n=120, classes=3), net=MLP(widths=(4,)), activation="prelu", batch_size=16, epochs=2)
