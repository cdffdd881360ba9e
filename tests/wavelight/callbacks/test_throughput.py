import csv
import time

import lightning as L

from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import Throughput
from wavelight.loggers import CSVLogger


class Slow(L.Callback):
    """Makes every batch take at least a tenth of a second."""

    def on_train_batch_start(self, *rest):
        time.sleep(0.1)


def test_rate_and_progress_are_logged(tmp_path):
    trainer = tiny_trainer(
        tmp_path,
        Throughput(),
        Slow(),
        logger=CSVLogger(str(tmp_path)),
        log_every_n_steps=2,
        max_epochs=1,
    )
    trainer.fit(tiny_system(), datamodule=tiny_data())
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [float(row["images_seen"]) for row in rows] == [16, 32]
    # 8 images in over 0.1 s, and less than a second of anything else.
    assert all(8 < float(row["images_per_second"]) < 80 for row in rows)
