"""What is measured: one file per target, each with TITLE, TARGETS (said when it cannot be measured) and run(lab)."""
