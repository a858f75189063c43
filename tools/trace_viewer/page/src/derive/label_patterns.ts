// Label patterns: "layers.3.mlp" and "layers.17.mlp" are both "layers.*.mlp", so that what a model does in every layer is one
// line and not dozens.

export interface LabelPatterns {
  of: Uint32Array; // by label: its pattern
  names: string[]; // by pattern; [0] is ""
}

export function DeriveLabelPatterns(labels: readonly string[]): LabelPatterns {
  const names = [''];
  const known = new Map([['', 0]]);
  const of = Uint32Array.from(labels, label => {
    const name = label.replace(/\d+/g, '*');
    let pattern = known.get(name);
    if (pattern === undefined) {
      pattern = names.length;
      known.set(name, pattern);
      names.push(name);
    }
    return pattern;
  });
  return { of, names };
}

// Each label its own pattern.
export function LabelsThemselves(labels: readonly string[]): LabelPatterns {
  return { of: Uint32Array.from(labels, (_, i) => i), names: [...labels] };
}
