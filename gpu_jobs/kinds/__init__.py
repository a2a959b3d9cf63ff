"""Kinds of jobs, one file each: `Spec`, what is asked, and `run(spec, context)`, which yields events."""
