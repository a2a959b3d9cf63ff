"""What is minimised.

Contract: a class `Objective(contracts.Objective)`; TASKS, the tasks that it serves; FORMS, the forms of data that it
reads ("text", "instruction", "preference", "prompts"; classes and images are "text").
"""
