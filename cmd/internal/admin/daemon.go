// Package admin is the daemon seen from outside: an HTTP JSON API over a unix socket (and over TCP with a token), and the
// client that the commands use.
package admin

import (
	"context"

	"waybill/pipeline"
	"waybill/transform"
)

// Daemon is what the API needs of the running pipeline. All methods are safe while it runs, from any goroutine.
type Daemon interface {
	Status(ctx context.Context) (pipeline.Status, error)
	Events(ctx context.Context, q pipeline.EventQuery) ([]pipeline.StoredEvent, error)
	Event(ctx context.Context, id string) (pipeline.StoredEvent, error)
	Trace(ctx context.Context, key string) ([]pipeline.TraceItem, error)
	Exceptions(ctx context.Context, q pipeline.ExceptionQuery) ([]pipeline.ExceptionView, error)
	Exception(ctx context.Context, id string) (pipeline.ExceptionView, error)
	Retry(ctx context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error)
	Discard(ctx context.Context, ids []string, by, why string) ([]pipeline.ExceptionView, error)
	PreviewReplay(ctx context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error)
	Replay(ctx context.Context, r pipeline.ReplayRequest) (pipeline.Preview, error)
	PreviewReset(ctx context.Context, r pipeline.ResetRequest) (pipeline.Preview, error)
	Reset(ctx context.Context, r pipeline.ResetRequest) (pipeline.Preview, error)
	PreviewRead(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadPlan, error)
	Read(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error)
	PauseReading(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error)
	ResumeReading(ctx context.Context, r pipeline.ReadRequest) (pipeline.ReadingStatus, error)
	Xrefs(ctx context.Context, q pipeline.XrefQuery) ([]transform.RegistryRow, error)
	Xref(ctx context.Context, q pipeline.XrefQuery) (pipeline.XrefView, error)
	PreviewXref(ctx context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error)
	ChangeXref(ctx context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error)
	Cases(ctx context.Context, q pipeline.CaseQuery) ([]transform.Case, error)
	Case(ctx context.Context, key string) (pipeline.CaseView, error)
	LinkCase(ctx context.Context, l pipeline.CaseLink) (pipeline.CaseView, error)
	Held(ctx context.Context, ref string, limit int) ([]pipeline.DeliveryView, error)
	ReleaseHeld(ctx context.Context, r pipeline.HeldRelease) ([]pipeline.DeliveryView, error)
	Flows(ctx context.Context) ([]pipeline.SinkView, error)
	PauseFlow(ctx context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error)
	ResumeFlow(ctx context.Context, r pipeline.FlowRequest) (pipeline.SinkView, error)
	Reload(ctx context.Context, by, why string) (pipeline.Reload, error)
	Masters(ctx context.Context, q pipeline.MasterQuery) ([]transform.MasterEntity, error)
	Master(ctx context.Context, key string) (pipeline.MasterView, error)
	JudgeMaster(ctx context.Context, r pipeline.MasterRequest) (pipeline.MasterView, error)
	Checkpoint(ctx context.Context) (pipeline.CheckpointView, error)
	Change(ctx context.Context, c pipeline.ExceptionChange) ([]pipeline.ExceptionView, error)
	PreviewEdit(ctx context.Context, r pipeline.EditRequest) (pipeline.EditView, error)
	Edit(ctx context.Context, r pipeline.EditRequest) (pipeline.EditView, error)
	Audit(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error)
	VerifyAudit(ctx context.Context, expect string) (pipeline.AuditProof, error)
	Redact(ctx context.Context, r pipeline.RedactRequest) (pipeline.AuditLine, error)
	Reconcile(ctx context.Context, q pipeline.ReportQuery) (pipeline.ReconcileReport, error)
	Backlog(ctx context.Context, q pipeline.ReportQuery) (pipeline.BacklogReport, error)
	historian
}

// Judgement is the body of retry and discard.
type Judgement struct {
	IDs []string `json:"ids,omitempty"` // for the bulk form: at most 10,000, or the single id "all"
	By  string   `json:"by"`
	Why string   `json:"why,omitempty"`
}

// Bounds of the API (Invariant 7).
const (
	maxBody     = 1 << 20  // bytes of a request
	maxAnswer   = 64 << 20 // bytes of an answer that the client reads
	maxIDs      = 10_000   // exceptions of one judgement
	maxEvents   = 10_000   // events of one page
	maxRequests = 64       // requests under way; more are refused with 503
)
