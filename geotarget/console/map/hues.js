// The colours that zones take turns in, in the order of the tones that the tiles tell.

export const HUES = ["#2f56d6", "#c2410c", "#0f766e", "#9333ea", "#be185d", "#4d7c0f"];
