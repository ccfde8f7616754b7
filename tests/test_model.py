"""The model against transformers' CodeGenForCausalLM: the same weights give the same logits, both ways."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, CodeGenConfig, CodeGenForCausalLM

from jobs.training.model import LOGITS_AT_ONCE, SIZES, Cache, CodeGen, ModelSettings, new_settings, save_model

SETTINGS = ModelSettings(n_layer=3, n_embd=64, n_head=8, rotary_dim=6, vocab_size=200, n_positions=48)
TOKENS = torch.randint(0, 200, (2, 48), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> tuple[CodeGen, Path]:
    torch.manual_seed(0)
    model = CodeGen(SETTINGS)
    for tensor in model.parameters():
        torch.nn.init.normal_(tensor, std=0.2)
    folder = tmp_path_factory.mktemp("ours")
    save_model(folder, SETTINGS, model.state_dict())
    return model, folder


def test_transformers_opens_what_we_save(ours):
    model, folder = ours
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert isinstance(theirs, CodeGenForCausalLM)
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, rtol=1e-4, atol=1e-4)


def test_we_open_what_transformers_saves(tmp_path):
    config = CodeGenConfig(n_layer=2, n_embd=96, n_head=4, rotary_dim=24, vocab_size=200, n_positions=48)
    theirs = CodeGenForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model = CodeGen.load(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, rtol=1e-4, atol=1e-4)
    save_model(tmp_path / "again", model.settings, model.state_dict())
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again").state_dict()
    stored = theirs.state_dict()
    assert again.keys() == stored.keys()
    assert all(torch.equal(again[name], stored[name]) for name in stored)


def test_a_cache_changes_nothing(ours):
    model, _ = ours
    with torch.no_grad():
        whole = model(TOKENS)
        cache = Cache(model, batch=2, length=48)
        cuts = [0, 20, 21, 22, 30, 47, 48]
        parts = [model(TOKENS[:, start:end], cache=cache) for start, end in pairwise(cuts)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)


def test_recomputed_activations_give_the_same_gradients(ours):
    model, folder = ours
    again = CodeGen.load(folder)
    again.transformer.recompute = True
    for each in (model, again):
        each.train()(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
    for (name, one), two in zip(model.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, msg=name)


def test_losses_and_gradients_are_those_of_the_logits(ours, monkeypatch):
    model, folder = ours
    monkeypatch.setitem(LOGITS_AT_ONCE, "cpu", 200 * 7)
    again = CodeGen.load(folder)
    targets = TOKENS.roll(-1, 1)
    targets[:, 40:] = -100
    losses = torch.nn.functional.cross_entropy(model(TOKENS).flatten(0, 1), targets.flatten(), reduction="none")
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(TOKENS, targets).flatten(), losses.detach(), rtol=1e-4, atol=1e-4)
    model.zero_grad()
    (losses.sum() / 80).backward()
    (again.train()(TOKENS, targets) / 80).backward()
    for (name, one), two in zip(model.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_gradients_in_bf16_point_where_those_in_fp32_do(ours):
    _, folder = ours
    one, two = (CodeGen.load(folder).train() for _ in range(2))
    targets = TOKENS.roll(-1, 1)
    targets[:, 40:] = -100
    one(TOKENS, targets).backward()
    with torch.autocast("cpu", torch.bfloat16):
        two(TOKENS, targets).backward()
    for (name, each), other in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.cosine_similarity(each.grad.flatten(), other.grad.flatten(), 0) > 0.99, name


@pytest.mark.parametrize(("size", "weights"), [("350M", 0.36e9), ("2B", 2.8e9), ("6B", 7.1e9), ("16B", 16.0e9)])
def test_sizes_are_the_papers(size, weights):
    with torch.device("meta"):
        model = CodeGen(new_settings(size, 51200, 2048, 50256))
    assert sum(tensor.numel() for tensor in model.parameters()) == pytest.approx(weights, rel=0.05)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        CodeGen.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match="'llama' is not codegen"):
        CodeGen.load(tmp_path)
    with pytest.raises(ValueError, match="unknown model '3B': give one of tiny"):
        new_settings("3B", 100, 128, 0)
    assert set(SIZES) == {"tiny", "350M", "2B", "6B", "16B"}
