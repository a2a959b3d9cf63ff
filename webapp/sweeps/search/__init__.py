"""From the trials there are to the next points: Optuna asked as a function, with nothing stored in it."""
