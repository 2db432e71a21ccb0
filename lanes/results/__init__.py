"""Results of trained runs: tables, statistics, selection and evaluation."""
