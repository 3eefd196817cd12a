import torch

from gaussgan.rng import normal, stream


def test_a_stream_is_a_function_of_seed_purpose_and_epoch() -> None:
    draws = {
        key: normal(100, generator=stream(*key))
        for key in [(0, "data", 0), (1, "data", 0), (0, "latent", 0), (0, "data", 1)]
    }
    for key, values in draws.items():
        assert torch.equal(values, normal(100, generator=stream(*key)))
        assert all(abs(torch.corrcoef(torch.stack([values, other]))[0, 1]) < 0.4
                   for other_key, other in draws.items() if other_key != key)  # fmt: skip


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    normal(10, generator=stream(0, "data"))
    assert torch.equal(before, torch.get_rng_state())
