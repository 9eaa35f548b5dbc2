"""SHA-256 of the files in which ESM-2 was released: they tell its own weights from others of the same shape.

fair-esm's files are those of `CHECKPOINT_URL`, Hugging Face's those of `facebook/{name}`. The hashes are as independent
public repositories state them that check their downloads, among them the model registry of Synthyra/FastPLMs
(src/fastplms/models.toml); none was computed here, where the files cannot be fetched.
"""

from collections.abc import Iterable

RELEASED: dict[str, str] = {
    # fair-esm
    "46f002a9870c9bdecd0ea887acb1f9a38a6b561e8f8bf8a6990b679b9d31b928": "esm2_t6_8M_UR50D",
    "7f21e80e61d16a71735163ef555d3009afb0c98da74c48e29df08606973cc55e": "esm2_t12_35M_UR50D",
    "881c7176cf198ef8dec26a3c375d40eb58d0c33df95c22562ca6cc6d3f812c62": "esm2_t30_150M_UR50D",
    "ea9d0522b335a8778dea6535a65301f10208dece28cd5865482b0b1fc446168c": "esm2_t33_650M_UR50D",
    "7de8b4082ba15891959ab368b77ce3886697af1efb16d3c9e9e7b0c5d3f07500": "esm2_t36_3B_UR50D",
    # Hugging Face, model.safetensors, and the two pytorch_model-0000N-of-00002.bin of the largest
    "24c5fa474c48f3b754b86efe752d5f189d2bcd88190fa2270fc92b2ef3034189": "esm2_t6_8M_UR50D",
    "e35647818e0e064351d4531ed480d225a002567b4b2b93ad3a9246d753150fc0": "esm2_t12_35M_UR50D",
    "c3f1da8aea53bddd32c246c86168c23b9fd72341fb9db9a94436f855f5053566": "esm2_t30_150M_UR50D",
    "a08adabb949fa67ad3c14b509d04fd60368b35007b0095e3358f81200c4f4db0": "esm2_t33_650M_UR50D",
    "0f971f11c449d21422aa982b791619c10351972992c735f4c3cd43fe09790412": "esm2_t36_3B_UR50D",
    "7560b46fc383c691fb74b915b7d4bcef40d3df181447f16ba4b298845e308d0c": "esm2_t36_3B_UR50D",
}


def is_released(name: str, hashes: Iterable[str]) -> bool:
    """Return whether files with these SHA-256 are all of the released model `name`; False for no file."""
    known = [RELEASED.get(sha256) == name for sha256 in hashes]
    return bool(known) and all(known)
