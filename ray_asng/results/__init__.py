"""From Tune's result files to one Parquet data set, statistics, figures and a report. Imports no training code."""
