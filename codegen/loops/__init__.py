"""The loop IR: kernels as loops over scalar statements; its text, rules, reference meaning and recorder."""
