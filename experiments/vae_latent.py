"""How does a VAE's latent map look when trained on reconstruction only, on divergence only, and on both?

    .venv/bin/lanes sweep experiments/vae_latent.py --out runs/vae_latent
    .venv/bin/python scripts/figures/latent_map.py runs/vae_latent --out latent_map.png

50 s of processor time. Expected (n = 3, test): with both terms the ELBO is -24.2 nats, its divergence 2.8, and the classes
lie side by side inside the prior; with reconstruction only, the map leaves the prior (divergence 14.9, ELBO -35.3) to gain
0.8 nats of reconstruction; with divergence only, every digit lies at the origin (divergence 0.00, ELBO -55).
"""

from lanes import Digits, Elbo, Run, grid
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
    """Modes x seeds; the importance-weighted bound of 50 samples is reported beside the ELBO."""
    tasks = [Elbo(mode=mode, samples=50) for mode in ("both", "reconstruction", "divergence")]
    return grid(BASE, task=tasks, seed=range(3), eval_every=[10])
