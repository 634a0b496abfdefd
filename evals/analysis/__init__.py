"""From a run folder to statistics, tables, plots and pages."""
