"""Datasets that kedro-datasets lacks: arrays mapped from disk, models, the folder of sheets, work folders."""
