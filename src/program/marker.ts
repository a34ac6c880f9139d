/** How a stray rejection is told of; what it said follows, which is its author's. */
export const unhandledRejection = "an unhandled rejection";

/** Thrown by `continueAsNew`, so that the function ends there. Not an error: nobody needs to catch it. */
export const continueAsNewMarker = Object.freeze({ aion: "continue-as-new" });
