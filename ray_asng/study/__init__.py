"""A study is data: methods x spaces x tasks x settings x seeds in one file, and the trials that it stands for.

    about: One sentence on what the study asks.
    seeds: 3                                # 0, 1 and 2; or a list
    config: {epochs: 20, lr: 0.1}           # of all trials; any key of a search's config
    methods:                                # what reports call it -> its config; a list of names will do
      asng: {}
      gaea (ERM): {method: gaea, method_options: {split: train}}
    spaces:
      nasbench201: {}
      no zero: {space: nasbench201, space_options: {operations: [skip_connect, nor_conv_1x1, nor_conv_3x3]}}
    tasks: [digits]
    settings: {default: {}, long: {epochs: 40}}
    sweeps:                                 # each value by itself, around what stands above
      - {methods: [asng], key: method_options.initial_step, values: [0.1, 0.3, 1, 3, 10]}
      - {key: lr, values: [0.03, 0.1, 0.3]}
    sizes:                                  # chosen by name; they go over what stands above
      smoke: {seeds: 1, methods: [asng], config: {epochs: 2}, sweeps: []}

Only `methods` is needed. Of a trial's config a later part goes over the former ones: `config`, then what its space,
its task, its method and its settings say, then what was given beside the file, then the sweep. Dicts of options are
merged by option. In a size, a mapping of methods (spaces, tasks, settings) goes over their entries, a list chooses
some of them, and `sweeps` stands for those of the file.

`source` reads the file, `combination` puts the parts of a config together, `sections` and `sweeps` find them, and
`plan` has the whole: `load_study`.
"""
