//! Long work that a request started: its progress, and its end for who asks later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Machine;
use super::error::{Kind, Problem};
use super::extract::{Json, Path};
use super::lists::ImportReport;
use super::routes::Routes;
use super::state::ApiState;

/// Jobs that are remembered; the oldest ended ones make room.
pub const JOBS_MAX: usize = 256;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It works.
    Running,
    /// It ended well.
    Done,
    /// It ended in vain.
    Failed,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Where it stands.
    pub state: JobState,
    /// Records so far.
    pub done: u64,
    /// Records in all, where the other side tells.
    pub total: Option<u64>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ImportReport>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// All jobs of this process; they do not outlive it.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<BTreeMap<Uuid, Job>>);

impl Jobs {
    /// Adds a job under `id`; ids are UUIDv7, so the smallest is the oldest.
    pub fn begin(self: &Arc<Self>, id: Uuid) -> Result<JobHandle, Problem> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= JOBS_MAX {
            let ended = jobs.iter().find(|(_, job)| job.state != JobState::Running);
            let Some(ended) = ended.map(|(id, _)| *id) else {
                return Err(Problem::new(Kind::Busy, "too many jobs run"));
            };
            jobs.remove(&ended);
        }
        let job = Job { state: JobState::Running, done: 0, total: None, report: None, error: None };
        jobs.insert(id, job);
        Ok(JobHandle { id, jobs: Arc::clone(self), ended: false })
    }

    /// A job as it stands.
    pub fn get(&self, id: Uuid) -> Option<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn change(&self, id: Uuid, change: impl FnOnce(&mut Job)) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = jobs.get_mut(&id) {
            change(job);
        }
    }
}

/// The worker's hand on its job. Dropped without an end, the job has failed.
#[derive(Debug)]
pub struct JobHandle {
    id: Uuid,
    jobs: Arc<Jobs>,
    ended: bool,
}

impl JobHandle {
    /// The job's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// So much is done.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.jobs.change(self.id, |job| {
            job.done = done;
            job.total = total.or(job.total);
        });
    }

    /// It is over.
    pub fn end(mut self, result: Result<ImportReport, String>) {
        self.ended = true;
        self.jobs.change(self.id, |job| match result {
            Ok(report) => {
                job.state = JobState::Done;
                job.done = report.rows;
                job.report = Some(report);
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.error = Some(error);
            }
        });
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if !self.ended {
            self.jobs.change(self.id, |job| {
                job.state = JobState::Failed;
                job.error = Some(String::from("it was interrupted"));
            });
        }
    }
}

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().get("/api/v1/jobs/{id}", job)
}

/// A job and its progress.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "lists",
    params(("id" = String, Path, format = "uuid", description = "The job")),
    responses((status = 200, body = Job), (status = 404, body = super::error::ProblemBody)))]
pub async fn job(
    State(state): State<ApiState>,
    _: Machine,
    Path(id): Path<Uuid>,
) -> Result<Json<Job>, Problem> {
    state.jobs().get(id).map(Json).ok_or_else(|| Problem::not_found("such job"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn a_job_that_is_dropped_has_failed() {
        let jobs = Arc::new(Jobs::default());
        let handle = jobs.begin(id(1)).unwrap();
        handle.progress(10, Some(20));
        assert_eq!(jobs.get(id(1)).unwrap().state, JobState::Running);
        drop(handle);
        let job = jobs.get(id(1)).unwrap();
        assert_eq!((job.state, job.done, job.total), (JobState::Failed, 10, Some(20)));
        assert!(job.error.is_some());
    }

    #[test]
    fn ended_jobs_make_room_and_running_ones_do_not() {
        let jobs = Arc::new(Jobs::default());
        let mut handles: Vec<_> =
            (0..JOBS_MAX as u128).map(|n| jobs.begin(id(n)).unwrap()).collect();
        assert_eq!(jobs.begin(id(9_999)).unwrap_err().kind, Kind::Busy);
        handles.remove(3).end(Err("no".into()));
        let _more = jobs.begin(id(9_999)).unwrap();
        assert_eq!(jobs.get(id(3)), None);
        assert!(jobs.get(id(2)).is_some());
    }
}
