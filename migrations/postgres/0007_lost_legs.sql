-- Legs of lost calls that are not known to be ended: the next start ends them, and so does the one after
-- it, should it be cut short too.
CREATE TABLE lost_leg (
  campaign BIGINT NOT NULL,
  attempt UUID NOT NULL,
  sip_local TEXT NOT NULL,
  dialog TEXT,
  PRIMARY KEY (campaign, attempt)
);
