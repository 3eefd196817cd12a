"""Train one GAN, or many with -m: python scripts/train.py [key=value ...]"""

from pathlib import Path

from omegaconf import DictConfig

from gaussgan.cli.launch import launch


def task(cfg: DictConfig) -> float:
    from gaussgan.train import train  # imports torch and Lightning, so only after the configuration is checked

    return train(cfg)


if __name__ == "__main__":
    launch(task, config_path=str(Path(__file__).resolve().parents[1] / "conf"), config_name="train")
