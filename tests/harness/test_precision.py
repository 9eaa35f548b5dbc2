"""The precision in use, as the harness finds it and as torch decides it inside the sandbox."""

import pytest
import torch

from tmelt.harness.precision import ask_gpu, precision_in_use
from tmelt.harness.task import has_fast_bf16


@pytest.mark.parametrize("named", ["fp32", "bf16"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_named_precision_is_in_use(named, device):
    assert precision_in_use(named, device) == named


def test_auto_on_this_processor_is_what_torch_decides():
    assert precision_in_use("auto", "cpu") == ("bf16" if has_fast_bf16(torch.device("cpu")) else "fp32")


@pytest.mark.parametrize(("said", "precision"), [("7.5", "fp32"), ("8.0", "bf16"), ("9.0", "bf16"), ("[N/A]", "bf16")])
def test_auto_on_a_gpu_follows_its_compute_capability(tmp_path, monkeypatch, said, precision):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncase $1 in --query-gpu=compute_cap) echo '{said}';; *) echo 'A GPU';; esac\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert precision_in_use("auto", "cuda") == precision
    assert ask_gpu("name") == "A GPU"
