"""The fields of GitLab's events with their types, as the Go library xanzy/go-gitlab that Kargo uses has them.

A wrong type in any of these fields makes a body invalid, whether or not Kargo uses the field. `field_types` describes
the notation.

Source: the names and types of the exported fields of xanzy/go-gitlab.
"""

from __future__ import annotations

from typing import Final

FIELDS: Final = """
PushEvent = ref_protected:bool
    object_kind:text event_name:text before:text after:text ref:text checkout_sha:text user_id:int
    user_name:text user_username:text user_email:text user_avatar:text project_id:int project:(id:int
    name:text description:text avatar_url:text git_ssh_url:text git_http_url:text namespace:text
    path_with_namespace:text default_branch:text homepage:text url:text ssh_url:text http_url:text
    web_url:text visibility:text) repository:*Repository commits:[]*(id:text message:text title:text
    timestamp:*time url:text author:(name:text email:text) added:[]text modified:[]text removed:[]text)
    total_commits_count:int
TagEvent = ref_protected:bool
    object_kind:text event_name:text before:text after:text ref:text checkout_sha:text user_id:int
    user_name:text user_username:text user_avatar:text user_email:text project_id:int message:text
    project:(id:int name:text description:text avatar_url:text git_ssh_url:text git_http_url:text
    namespace:text path_with_namespace:text default_branch:text homepage:text url:text ssh_url:text
    http_url:text web_url:text visibility:text) repository:*Repository commits:[]*(id:text message:text
    title:text timestamp:*time url:text author:(name:text email:text) added:[]text modified:[]text
    removed:[]text) total_commits_count:int
MergeEvent = object_kind:text event_type:text user:*EventUser project:(id:int name:text description:text
    avatar_url:text git_ssh_url:text git_http_url:text namespace:text path_with_namespace:text
    default_branch:text ci_config_path:text homepage:text url:text ssh_url:text http_url:text web_url:text
    visibility:text) object_attributes:(id:int target_branch:text source_branch:text source_project_id:int
    author_id:int assignee_id:int assignee_ids:[]int reviewer_ids:[]int title:text created_at:text
    updated_at:text st_commits:[]*Commit st_diffs:[]*Diff last_edited_at:text last_edited_by_id:int
    milestone_id:int state_id:int state:text merge_status:text target_project_id:int iid:int description:text
    position:int locked_at:text updated_by_id:int merge_error:text merge_params:*any
    merge_when_build_succeeds:bool merge_user_id:int merge_commit_sha:text deleted_at:text
    approvals_before_merge:text rebase_commit_sha:text in_progress_merge_commit_sha:text lock_version:int
    time_estimate:int source:*Repository target:*Repository head_pipeline_id:*int last_commit:(id:text
    message:text title:text timestamp:*time url:text author:(name:text email:text))
    blocking_discussions_resolved:bool work_in_progress:bool draft:bool total_time_spent:int time_change:int
    human_total_time_spent:text human_time_change:text human_time_estimate:text first_contribution:bool
    url:text labels:[]*EventLabel action:text detailed_merge_status:text oldrev:text) repository:*Repository
    labels:[]*EventLabel changes:(assignees:(previous:[]*EventUser current:[]*EventUser)
    reviewers:(previous:[]*EventUser current:[]*EventUser) description:(previous:text current:text)
    draft:(previous:bool current:bool) labels:(previous:[]*EventLabel current:[]*EventLabel)
    last_edited_at:(previous:text current:text) last_edited_by_id:(previous:int current:int)
    merge_status:(previous:text current:text) milestone_id:(previous:int current:int)
    source_branch:(previous:text current:text) source_project_id:(previous:int current:int)
    state_id:(previous:int current:int) target_branch:(previous:text current:text)
    target_project_id:(previous:int current:int) title:(previous:text current:text) updated_at:(previous:text
    current:text) updated_by_id:(previous:int current:int)) assignees:[]*EventUser reviewers:[]*EventUser
Repository = name:text description:text web_url:text avatar_url:text git_ssh_url:text git_http_url:text
    namespace:text visibility:text path_with_namespace:text default_branch:text homepage:text url:text
    ssh_url:text http_url:text
EventUser = id:int name:text username:text avatar_url:text email:text
Commit = id:text short_id:text title:text author_name:text author_email:text authored_date:*time
    committer_name:text committer_email:text committed_date:*time created_at:*time message:text
    parent_ids:[]text stats:*CommitStats status:*text last_pipeline:*PipelineInfo project_id:int
    trailers:{}text extended_trailers:{}text web_url:text
Diff = diff:text new_path:text old_path:text a_mode:text b_mode:text new_file:bool renamed_file:bool
    deleted_file:bool
EventLabel = id:int title:text color:text project_id:int created_at:text updated_at:text template:bool
    description:text type:text group_id:int
CommitStats = additions:int deletions:int total:int
PipelineInfo = id:int iid:int project_id:int status:text source:text ref:text sha:text web_url:text
    updated_at:*time created_at:*time
"""
