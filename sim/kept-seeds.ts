/**
 * Seeds of worlds without workers that have shown a bug, of the engine or of the simulator: run for ever. What they showed is told by the world they made
 * then; a change of how worlds are made gives them another one, so each bug of the engine has a test of its own besides.
 */
export const keptSeeds: readonly number[] = [
  19, 77, 120, 199, 261, 284, 290, 546, 611, 714, 3158, 3975, 4382, 5003, 8507, 8636, 11719, 31893, 51767,
  103214, 90368, 1000242, 1001314, 1011607, 1017215, 3000965, 30002302, 30007724, 30008378, 40021790,
  40034793, 40095796, 40116786, 40155430, 40198192, 40331293, 40369806, 40394228, 40033912, 40059090,
  40054174, 40026261, 40036742, 40045464, 50262570, 60074769, 60064229, 60079543, 70357442, 70463036,
];

/** The same of worlds that have workers. */
export const keptSeedsWithWorkers: readonly number[] = [
  39, 174, 201, 262, 201189, 201655, 201912, 201974, 202202, 202592, 302790, 308580, 311963, 314723, 315873,
  316327, 318042, 90069895, 90090661, 90095096,
];
