/** Thrown by `continueAsNew`, so that the function ends there. Not an error: nobody needs to catch it. */
export const continueAsNewMarker = Object.freeze({ aion: "continue-as-new" });
