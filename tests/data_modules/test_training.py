import lightning as L
import pytest
import torch

from data_modules import WaveletDataModule
from tests.sources import Numbered


class Recorder(L.LightningModule):
    """Learns nothing, and writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.images_seen = 0
        self.positions = []
        self.generated = []
        self.save_at = None

    def training_step(self, batch, batch_idx):
        assert batch["image"].dtype == torch.float32
        assert batch["image"].abs().max() <= 1
        self.positions += batch["index"].tolist()
        self.images_seen += self.trainer.world_size * len(batch["index"])
        return self.weight.sum()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.images_seen == self.save_at:
            self.trainer.save_checkpoint(f"{self.trainer.default_root_dir}/last.ckpt")

    def validation_step(self, batch, batch_idx):
        self.generated += batch["index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["images_seen"] = self.images_seen

    def on_load_checkpoint(self, checkpoint):
        self.images_seen = checkpoint["images_seen"]


def fit(recorder, folder, checkpoint=None, **options):
    trainer = L.Trainer(
        accelerator="cpu",
        limit_train_batches=3,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        **options,
    )
    data = WaveletDataModule(
        Numbered(), 4, batch_size=4, num_workers=0, val_images=5, eval_batch_size=2
    )
    trainer.fit(recorder, data, ckpt_path=checkpoint)
    return trainer


def test_virtual_epochs_go_through_the_stream(tmp_path):
    recorder = Recorder()

    fit(recorder, tmp_path, max_epochs=3)

    assert recorder.positions == list(range(36))
    assert recorder.generated == list(range(5)) * 3


@pytest.mark.filterwarnings("error:.*dataloader is not resumable")
@pytest.mark.parametrize("images_seen", [4, 12, 16])
def test_a_run_goes_on_at_an_epoch_s_end_and_in_its_middle(tmp_path, images_seen):
    first, second = Recorder(), Recorder()
    first.save_at = images_seen
    fit(first, tmp_path, max_epochs=4)

    fit(second, tmp_path, checkpoint=tmp_path / "last.ckpt", max_epochs=4)

    assert first.positions == list(range(48))
    assert second.positions == list(range(images_seen, 48))


class Saver(Recorder):
    def on_train_end(self):
        torch.save(self.positions, f"{self.trainer.default_root_dir}/{self.global_rank}.pt")


@pytest.mark.ddp
def test_two_processes_share_the_stream(tmp_path):
    fit(Saver(), tmp_path, max_epochs=2, devices=2, strategy="ddp_fork")

    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert shares[0] == [4 * batch + place for batch in range(6) for place in (0, 1)]
    assert shares[1] == [4 * batch + place for batch in range(6) for place in (2, 3)]
