"""Labels reach the networks, so that a class-conditional model is a network's change alone."""

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.systems import score_model, tiny_wsgm
from wavelight.factorizations.scaling import Half
from wavelight.networks import ImprovedUNet


class PerClass(nn.Module):
    """A network with a constant for each of three classes: what class conditioning takes at the least."""

    def __init__(self, shape):
        super().__init__()
        self.network = ImprovedUNet(
            shape, width=8, multipliers=[1], attention_resolutions=[], blocks=1, heads=1
        )
        self.embedding = nn.Embedding(3, shape.channels)
        self.seen = []

    def forward(self, x, c_noise, condition):
        self.seen.append(condition.label.clone())
        constant = self.embedding(condition.label)[:, :, None, None]
        return self.network(x, c_noise, condition) + constant


class Labelled(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"image": torch.full((3, 16, 16), index / 8), "index": index, "label": index % 3}


def per_class(**changes):
    model = score_model(steps=1, network=PerClass)
    return tiny_wsgm(coarse=model, details=model, scaling=Half(), **changes)


def test_training_hands_the_labels_of_a_batch_to_every_network(tmp_path):
    system = per_class(accumulate_grad_batches=2)
    L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    ).fit(system, DataLoader(Labelled(), batch_size=8))
    for model in system.factor_models():
        # In two parts, of which each has its own labels.
        assert [each.tolist() for each in model.score.seen] == [[0, 1, 2, 0], [1, 2, 0, 1]]


def test_images_are_generated_of_the_classes_that_are_asked_for():
    system = per_class()
    label = torch.tensor([2, 0, 1, 1, 0])
    images = system.sample(5, seed=1, batch_size=2, label=label)
    for model in system.factor_models():
        assert torch.cat(model.score.seen).tolist() == label.tolist()
    # An image belongs to its number and its class, whatever is generated beside it.
    alone = system.generate(torch.tensor([3]), seed=1, label=torch.tensor([1]))
    torch.testing.assert_close(images[3:4], alone, atol=1e-5, rtol=0)
    other = system.generate(torch.tensor([3]), seed=1, label=torch.tensor([2]))
    assert (other - alone).abs().max() > 1e-3


def test_models_that_do_not_ask_for_labels_sample_as_without():
    system = tiny_wsgm()
    with_labels = system.sample(2, label=torch.tensor([0, 1]))
    assert torch.equal(with_labels, system.sample(2))


@pytest.mark.parametrize("labels", [1, 3])
def test_labels_for_another_number_of_images_are_refused(labels):
    with pytest.raises(
        ValueError, match=f"label must have one class for each of n = 2, got {labels}"
    ):
        tiny_wsgm().sample(2, label=torch.zeros(labels, dtype=torch.int64))
