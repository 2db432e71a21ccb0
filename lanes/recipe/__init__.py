"""The parts of a run other than its net and its loss: optimizers, schedules, rules, averages, augmentations, tasks."""
