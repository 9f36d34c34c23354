package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	"waybill/checkpoint"
	"waybill/transform"
)

// planQuestions bounds what one round of a plan asks.
const planQuestions = 200

// answer asks what the rules of the plan ask, until nothing is open or the bound of lookups is reached. It writes to the side store alone.
func (o *PlanOptions) answer(ctx context.Context, p *projector, v *PlanView) error {
	most := o.Lookups
	if most == 0 {
		most = planLookups
	}
	tried, open := map[string]bool{}, 0
	for ctx.Err() == nil {
		var batch []*transform.Question
		err := o.Store.View(func(tx *checkpoint.Txn) error {
			open = 0
			return transform.Questions(tx, "", "", func(id string, q *transform.Question) (bool, error) {
				if q.Again > 0 {
					return true, nil
				}
				if open++; !tried[id] && len(batch) < planQuestions && len(tried)+len(batch) < most {
					batch = append(batch, q)
				}
				return true, nil
			})
		})
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		for _, q := range batch {
			tried[q.ID()] = true
			o.Progress("asking "+q.Service, len(tried), 0)
			if err := o.put(ctx, q); err != nil {
				return err
			}
		}
		if err := p.catchUp(ctx); err != nil {
			return err
		}
	}
	if open > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("%d questions to services have no answer; what waits for them is not counted.", open))
	}
	return ctx.Err()
}

// put asks one question. Without an answer it stays open.
func (o *PlanOptions) put(ctx context.Context, q *transform.Question) error {
	service := o.Services[q.Service]
	if service == nil {
		return nil
	}
	ours, out := put(ctx, service, q)
	if out != nil {
		return nil
	}
	payload, err := json.Marshal(answerEntry{Answer: ours})
	if err != nil {
		return err
	}
	_, err = o.Store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Answer, Payload: payload})
	return err
}
