"""Scaling laws: one formula each, with the parameters that are fitted and the grid from which the fit starts.

Contract: `Knobs(law.LawKnobs)`, and

    parameters(knobs) -> [law.Parameter]    the unknowns; one with `log` is positive and fitted as its logarithm
    variables(knobs) -> {column: unit}      what it reads of a point
    target(knobs) -> column                 what it explains
    predict(knobs, params, variables)       the target (batch, points), of parameters by name (batch, 1) and variables
                                            by name (points,). Written with operators and the functions of `smooth`, so
                                            that the same line gives values and, of duals, exact derivatives
    starts(knobs, variables, target) -> {parameter: [values]}
                                            the grid of starts is their product; logarithms for those with `log`;
                                            `variables` and `target` are arrays of the points that are fitted

Optional:

    derived(knobs, params) -> {name: value} numbers made of the parameters that get intervals, too
    optimum(knobs, params, compute)         (N, D) of least loss at a budget of FLOPs, arrays in, arrays out
    reduce(knobs, columns) -> columns       what is fitted instead of the points, of the columns in NEEDS: see isoflop
    reduce_all(knobs, columns, counts)      the same of resamples at once: (columns, present), (resamples, places) each
    INFINITE                                columns in which an infinite value counts instead of being dropped

One vectorised fitter, `engine.laws`, serves them all. numpy is imported inside functions only.
"""
