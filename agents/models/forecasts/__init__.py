"""What forecasters share: ETT's series, windows, how far off a forecast is as a rule, beliefs over intervals of change."""
