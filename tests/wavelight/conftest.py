import pytest
import torch


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """A file of the right shape for Inception, made without a download."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *args, **kwargs: None)
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    weights = network.state_dict()
    for weight in weights.values():
        # PyTorch's initial weights let signals fade, until all images have the same features.
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight, generator=torch.Generator().manual_seed(0))
    torch.save(weights, path)
    return path
