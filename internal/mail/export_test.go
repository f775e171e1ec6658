package mail

// Deliver is what a sender does with a mail that it has claimed.
var Deliver = (*Sender).deliver
