package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// codeCondition is of an event of which the mapping's condition cannot tell whether it is published.
const codeCondition = "PUBLISH_CONDITION"

// feedRefused sets an event aside. What the target refuses is an exception, and its order key waits for a person; what it only does not take
// now waits apart, so that nothing else waits for it (Invariant 5).
func (s *state) feedRefused(sink string, f *feedRefusal, e checkpoint.Entry) error {
	var count feedCount
	if _, err := s.load(bucketFeedCount, sink, &count); err != nil {
		return err
	}
	if err := s.feedAside(sink, f.N, &count); err != nil {
		return err
	}
	if err := s.save(bucketFeedCount, sink, count); err != nil {
		return err
	}
	raw, err := s.Get(bucketFeedAside, feedPlaceKey(sink, f.Key, f.N))
	if err != nil || raw == nil {
		return err
	}
	if f.Outcome.Class == sinks.RetryLater {
		return s.saveHeld(sink, f.Key, &feedHeld{})
	}
	item, err := decodeFeedItem(raw)
	if err != nil {
		return err
	}
	ev, err := s.feedEvent(&item)
	if err != nil {
		return err
	}
	id, err := s.feedException(sink, &item, ev, f, e)
	if err != nil {
		return err
	}
	return s.saveHeld(sink, f.Key, &feedHeld{N: f.N, Exception: id})
}

func (s *state) feedException(sink string, item *feedItem, ev *transform.Event, f *feedRefusal, e checkpoint.Entry) (id string, err error) {
	o := f.Outcome
	code := refusal(o)
	class, owner := concerns(code)
	title := fmt.Sprintf("%s refused %s %s: %s", sink, ev.Type, subjectOfEvent(ev), o.Message)
	if code == codeCondition {
		class, owner = "MAPPING", "integration"
		title = fmt.Sprintf("It cannot be told whether %s %s is published to %s.%s: %s", ev.Type, subjectOfEvent(ev), sink, item.Topic, o.Message)
	}
	evidence, err := json.Marshal(map[string]any{"target": sink + "." + item.Topic, "event": ev.ID, "sequence": item.Sequence, "field": o.Field, "message": o.Message,
		"request": clip(o.Request, 2000), "answer": clip(o.Answer, 2000)})
	if err != nil {
		return "", err
	}
	id, err = s.openException(originFeed, transform.Problem{Fingerprint: feedFingerprint(sink, item.Topic, ev), Class: class, Code: code, Title: clip(title, 300),
		Hint: o.Hint, Owner: owner, Subject: subjectOfEvent(ev), OrderKey: ev.OrderKey, Amount: ev.Amount, Evidence: evidence}, "", e.At)
	if err != nil {
		return "", err
	}
	x, err := s.exception(id)
	if err != nil {
		return "", err
	}
	x.Feed = &feedRef{sink, f.feedPlace}
	return id, s.save(bucketException, id, x)
}

// feedAgain sends what an exception of a feed holds again. Of what a condition could not tell, the present mapping is asked first.
func (s *state) feedAgain(x *exception, at time.Time) error {
	k := feedPlaceKey(x.Feed.Sink, x.Feed.Key, x.Feed.N)
	raw, err := s.Get(bucketFeedAside, k)
	if err != nil || raw == nil {
		return err
	}
	item, err := decodeFeedItem(raw)
	if err != nil {
		return err
	}
	if item.Undecided == "" {
		return s.saveHeld(x.Feed.Sink, x.Feed.Key, &feedHeld{N: x.Feed.N})
	}
	goes, err := s.feedGoes(x.Feed.Sink, &item)
	switch {
	case err != nil:
		return err
	case goes == nil:
		return s.feedGiveUp(x, ExceptionResolved, daemon, "the mapping does not publish it", at)
	case goes.Undecided != nil:
		return s.stillSo(x.Problem.Fingerprint, at)
	}
	item.Undecided = ""
	if err := s.Put(bucketFeedAside, k, item.append(nil)); err != nil {
		return err
	}
	return s.saveHeld(x.Feed.Sink, x.Feed.Key, &feedHeld{N: x.Feed.N})
}

// feedGoes asks the present mapping about an entry; nil when it is not published there.
func (s *state) feedGoes(sink string, item *feedItem) (*transform.Destination, error) {
	e, err := s.feedEvent(item)
	if err != nil || s.carriers == nil {
		return nil, err
	}
	version, err := s.versionOf(e)
	if err != nil {
		return nil, err
	}
	all := s.carriers.Publishes(e, version)
	if i := slices.IndexFunc(all, func(d transform.Destination) bool { return d.Sink == sink && d.Topic == item.Topic }); i >= 0 {
		return &all[i], nil
	}
	return nil, nil
}

// feedGiveUp drops what an exception of a feed holds, and lets its order key go on (Invariant 3).
func (s *state) feedGiveUp(x *exception, state, by, why string, at time.Time) error {
	k := feedPlaceKey(x.Feed.Sink, x.Feed.Key, x.Feed.N)
	raw, err := s.Get(bucketFeedAside, k)
	if err != nil || raw == nil {
		return err
	}
	if err := s.Delete(bucketFeedAside, k); err != nil {
		return err
	}
	var count feedCount
	if _, err := s.load(bucketFeedCount, x.Feed.Sink, &count); err != nil {
		return err
	}
	count.Aside--
	count.Given++
	if err := s.save(bucketFeedCount, x.Feed.Sink, count); err != nil {
		return err
	}
	if err := s.saveHeld(x.Feed.Sink, x.Feed.Key, &feedHeld{}); err != nil {
		return err
	}
	x.Waiting = 0
	if err := s.Delete(bucketSubject, key(x.ID, x.Problem.Subject)); err != nil {
		return err
	}
	return s.closeException(x, state, by, why, at)
}

// feedEvidence adds the event that a publisher refused, and how many wait behind it.
func (s *state) feedEvidence(v *ExceptionView, of *feedRef) error {
	raw, err := s.Get(bucketFeedAside, feedPlaceKey(of.Sink, of.Key, of.N))
	if err != nil || raw == nil {
		return err
	}
	item, err := decodeFeedItem(raw)
	if err != nil {
		return err
	}
	if v.Event, err = s.feedEvent(&item); err != nil {
		return err
	}
	return s.Scan(bucketFeedAside, feedKey(of.Sink, of.Key)+sep, feedPlaceKey(of.Sink, of.Key, of.N+1), func(string, []byte) (bool, error) {
		v.Behind++
		return v.Behind < listMost, nil
	})
}

// feedSetup opens one exception for a publisher that takes nothing now, whatever the event.
func (s *state) feedSetup(f *feedEntry, at time.Time) error {
	if err := s.feedWell(f.Sink, at); err != nil { // another cause than before
		return err
	}
	prob := transform.Problem{Fingerprint: "SETUP/" + f.Sink + "/" + f.Setup.Code, Class: "POLICY", Code: refusal(*f.Setup),
		Title: clip(fmt.Sprintf("%s cannot be used: %s", f.Sink, f.Setup.Message), 300), Hint: f.Setup.Hint, Owner: "integration", Subject: feedSubject(f.Sink)}
	if prob.Code == "" {
		prob.Code = "SETUP"
	}
	if _, err := s.openException(originTarget, prob, "", at); err != nil {
		return err
	}
	return s.Put(bucketSystem, "setup/"+feedSubject(f.Sink), []byte(prob.Fingerprint))
}

// feedWell resolves the exception of a publisher that takes events again.
func (s *state) feedWell(sink string, at time.Time) error {
	subject := feedSubject(sink)
	fp, err := s.Get(bucketSystem, "setup/"+subject)
	if err != nil || len(fp) == 0 {
		return err
	}
	if err := s.Delete(bucketSystem, "setup/"+subject); err != nil {
		return err
	}
	return s.resolve(string(fp), subject, daemon, "the target accepts us again", at)
}

// feedCause groups exceptions of feeds that one settlement would end.
func (x *exception) feedCause() string {
	var e struct {
		Target string `json:"target"`
		Field  string `json:"field"`
	}
	if json.Unmarshal(x.Problem.Evidence, &e) != nil {
		e.Target = ""
	}
	return strings.TrimSuffix("FEED/"+e.Target+"/"+x.Problem.Code+"/"+e.Field, "/")
}
