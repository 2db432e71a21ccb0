"""What does a VAE's latent map look like under reconstruction only, divergence only, and both? (claim 19)

python scripts/sweep.py experiments/vae_latent.py --out runs/vae_latent
python scripts/plot_latent_map.py runs/vae_latent --out latent_map.png

50 s of processor time. Expected (n = 3, test): both terms: ELBO -24.2 nats, of which the divergence 2.8, the classes lie
side by side inside the prior; reconstruction only: the map leaves the prior (divergence 14.9, ELBO -35.3) to gain 0.8 nats
of reconstruction; divergence only: every digit lies at the origin (divergence 0.00, ELBO -55).
"""

from lanes import Run, grid
from lanes.data.digits import Digits
from lanes.recipe.tasks_reconstructing import MODES, Elbo
from nets import VAE

BASE = Run(
    data=Digits(standardize="unit"),
    net=VAE(widths=(256, 128), code=2),
    activation="relu",
    initializer="he_normal",
    loss="sigmoid_cross_entropy",
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    epochs=100,
)


def sweep() -> list[Run]:
    """Modes x seeds; the importance-weighted bound of 50 samples stands beside the ELBO."""
    return grid(BASE, task=[Elbo(mode=mode, samples=50) for mode in MODES], seed=range(3), eval_every=[10])
