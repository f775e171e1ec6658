-- The acr of the first ID token of a grant, which the later ones repeat. '': none, or from before this step.
ALTER TABLE grants ADD COLUMN acr TEXT NOT NULL DEFAULT '';
