"""Train one GAN, or with -m a sweep of them: python scripts/train.py [key=value ...]"""

from pathlib import Path

from omegaconf import DictConfig

from gaussgan.cli.launch import launch


def task(cfg: DictConfig) -> float:
    from gaussgan.train import train  # torch and Lightning, once the configuration stands

    return train(cfg)


if __name__ == "__main__":
    launch(task, config_path=str(Path(__file__).resolve().parents[1] / "conf"), config_name="train")
