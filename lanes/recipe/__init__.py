"""What a run is made of beside its net and its loss: optimizers, schedules, rules, averages, augmentations, tasks."""
